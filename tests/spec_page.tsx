// app/dashboard-new/documents-async/page.tsx
'use client'

import { useState } from 'react'

export default function DocumentsAsyncPage() {
  const [jobId, setJobId] = useState<string | null>(null)
  const [status, setStatus] = useState<any>(null)
  
  const handleUpload = async (file: File) => {
    const formData = new FormData()
    formData.append("file", file)
    formData.append("userId", "user123")
    
    // Upload and get job ID
    const { jobId } = await fetch("/api/upload-document-async", {
      method: "POST",
      body: formData,
    }).then(r => r.json())
    
    setJobId(jobId)
    
    // Start polling
    const interval = setInterval(async () => {
      const status = await fetch(`/api/job-status/${jobId}`)
        .then(r => r.json())
      
      setStatus(status)
      
      if (status.status === "completed" || status.status === "failed") {
        clearInterval(interval)
      }
    }, 2000)  // Poll every 2 seconds
  }
  
  return (
    <div>
      <input type="file" onChange={(e) => {
        if (e.target.files?.[0]) {
          handleUpload(e.target.files[0])
        }
      }} />
      
      {status && (
        <div>
          <p>Status: {status.status}</p>
          <p>Progress: {status.progress}%</p>
          
          {status.status === "completed" && (
            <div>
              {/* Display flashcards */}
              {JSON.parse(status.result).flashcards.map(card => (
                <div key={card.id}>{card.word}</div>
              ))}
            </div>
          )}
        </div>
      )}
    </div>
  )
}
